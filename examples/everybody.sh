#!/usr/bin/env bash
# Move every picture of a folder like one film: everybody.sh FOLDER FILM [OPTIONS OF ANIMATE...]
# Run it again after an interruption: what is finished stays, what is half done goes on.
set -u
folder=$1 film=$2
shift 2
failed=0
for picture in "$folder"/*.png "$folder"/*.jpg; do
    [ -e "$picture" ] || continue
    name=${picture##*/}
    out="$folder/${name%.*}_moving.mp4"
    [ -e "$out" ] && continue
    magicpose animate "$picture" "$film" -o "$out" --quiet "$@" || failed=1
done
exit $failed
