#!/bin/bash
# usage: tools/install.sh BINARY PREFIX [uninstall]
# Installs the program, llama.cpp's names as links, manual pages and shell completion below PREFIX (DESTDIR in front of it, for packages).
set -euo pipefail
binary=$1 root=${DESTDIR:-}$2 here=$(dirname "$0")
names=$("$binary" man --llama-names)
bin=$root/bin man=$root/share/man/man1
bash=$root/share/bash-completion/completions zsh=$root/share/zsh/site-functions fish=$root/share/fish/vendor_completions.d

if [ "${3:-}" = uninstall ]; then
  rm -f "$bin/phial" "$bin/convert_hf_to_gguf.py" "$man"/phial.1 "$man"/phial-*.1 "$bash/phial" "$zsh/_phial" "$fish/phial.fish"
  for name in $names; do rm -f "$bin/$name" "$man/$name.1" "$bash/$name" "$fish/$name.fish"; done
  exit
fi
install -d "$bin" "$man" "$bash" "$zsh" "$fish"
install -m 755 "$binary" "$bin/phial"
install -m 755 "$here/../convert_hf_to_gguf.py" "$bin/"
"$binary" man --all "$man"
"$binary" completion bash > "$bash/phial"
"$binary" completion zsh > "$zsh/_phial"
"$binary" completion fish > "$fish/phial.fish"
# Shells look for completion under the name of the command.
for name in $names; do
  ln -sfn phial "$bin/$name"
  ln -sfn phial "$bash/$name"
  ln -sfn phial.fish "$fish/$name.fish"
done
