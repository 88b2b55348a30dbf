#!/usr/bin/env bash
# mkdocs 1.6.1 with mkdocs-material 9.7.0: `mkdocs build --strict` passes a link to a heading that there is not. It is told as
# INFO, and strict stops at warnings; `validation: {anchors: warn}` in mkdocs.yml makes it one. Zensical 0.0.73, which
# material's makers name as its successor and which reads the same file, stops at it by --strict alone.
#
# Seen: mkdocs ends with 0, Zensical does not.
#
# It matters to whoever moves headings about and trusts --strict in CI.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.7.0 zensical==0.0.73
cd "$folder"
mkdir docs
printf 'site_name: a\ntheme: {name: material}\n' > mkdocs.yml
printf '# A page\n\nSee [there](other.md#nowhere).\n' > docs/index.md
printf '# Another page\n' > docs/other.md
"$folder/venv/bin/mkdocs" --quiet build --strict
echo "mkdocs: passes"
if "$folder/venv/bin/zensical" build --strict > zensical.txt 2>&1; then
    echo "zensical: passes now"
    exit 1
fi
grep -q "anchor does not exist" zensical.txt
echo "zensical: stops at it"
