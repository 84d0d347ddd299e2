#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# spdx - every source file says its licence within its first lines.
#
# Looks at what git tracks and at what it would add.  Prints the files without the line, and fails
# if there is one.
#
# usage: spdx.sh [source directory]
set -euo pipefail

cd "${1:-$(dirname "$0")/../..}"

bad=0
n=0
while IFS= read -r -d '' file; do
	[[ -f $file ]] || continue
	n=$((n + 1))
	if ! head -n 5 -- "$file" | grep -q 'SPDX-License-Identifier: '; then
		echo "$file: no SPDX-License-Identifier"
		bad=$((bad + 1))
	fi
done < <(git ls-files -z --cached --others --exclude-standard -- \
	'*.c' '*.h' '*.js' '*.py' '*.sh' '*.build' '*.yaml')

# No file at all means that the check looked in the wrong place.
if ((n == 0)); then
	echo "spdx: no files found" >&2
	exit 1
fi
((bad == 0))
