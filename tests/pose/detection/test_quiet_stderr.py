"""Silence for native code, in several threads at once."""

import os
import subprocess
import sys
import threading

from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced


def test_overlapping_blocks_give_the_descriptor_back(capfd):
    both_in, one_out = threading.Barrier(2), threading.Event()

    def first():
        with native_stderr_silenced():
            both_in.wait(5)
        one_out.set()

    def second():
        with native_stderr_silenced():
            both_in.wait(5)
            one_out.wait(5)
            os.write(2, b"hidden")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_without_a_standard_error_nothing_breaks():
    code = (
        "import os\nos.close(2)\n"
        "from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced as quiet\n"
        "with quiet(): pass\nprint('done')"
    )
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert run.stdout == b"done\n"
