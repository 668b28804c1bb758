#!/bin/sh
# Print `yes` if the virtual environment $1 is whole: `make setup` came to its end, in this place, and what it
# installed starts. If it is there and is not, stderr says why it is made anew. $2…: programs that it must have.
folder=$1
shift
[ -e "$folder/ready" ] || exit 0
made_for=$(cat "$folder/ready")
if [ "$made_for" != "$(pwd -P)" ]; then
    echo "arena: $folder was made for ${made_for:-an earlier arena}, not for $(pwd -P): it is made anew" >&2
    exit 0
fi
for program in "$@"; do
    if [ ! -x "$folder/bin/$program" ]; then
        echo "arena: $folder/bin/$program is missing: it is made anew" >&2
        exit 0
    fi
done
if ! "$folder/bin/python" -I -S -c "" 2>/dev/null; then
    echo "arena: $folder/bin/python does not start: it is made anew" >&2
    exit 0
fi
echo yes
