"""One page about a finished run, to look at and to hand on: `page.write_page`."""
