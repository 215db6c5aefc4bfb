// What each shell needs to ask this program for the words that could stand next. They know nothing of its commands themselves, so that
// they never go stale. A line is a word, a tab and what it is; `:files` asks the shell for files.

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const ASK = 'novamem-runbook complete-words --';

export const SHELL_SCRIPTS: Record<Shell, string> = {
  bash: `# bash completion of novamem-runbook. For good:
#   novamem-runbook completion bash > ~/.local/share/bash-completion/completions/novamem-runbook
_novamem_runbook() {
  local line words=("\${COMP_WORDS[@]:1:COMP_CWORD}") cur=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files*) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur") ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(${ASK} "\${words[@]}" 2>/dev/null)
}
complete -F _novamem_runbook novamem-runbook
`,
  zsh: `#compdef novamem-runbook
# zsh completion of novamem-runbook. For good, where fpath holds that folder and compinit comes after it:
#   novamem-runbook completion zsh > ~/.zfunc/_novamem-runbook
_novamem_runbook() {
  local line files
  local -a found
  while IFS= read -r line; do
    if [[ $line == :files* ]]; then files=yes
    else found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done < <(${ASK} "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe novamem-runbook found
  [[ -n $files ]] && _files
  return 0
}
if [[ $funcstack[1] == _novamem-runbook ]]; then _novamem_runbook "$@"; else compdef _novamem_runbook novamem-runbook; fi
`,
  fish: `# fish completion of novamem-runbook. For good:
#   novamem-runbook completion fish > ~/.config/fish/completions/novamem-runbook.fish
function __novamem_runbook_words
  set -l typed (commandline -opc) (commandline -ct)
  for line in (${ASK} $typed[2..-1] 2>/dev/null)
    if string match -q ':files*' -- $line
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c novamem-runbook -f -a '(__novamem_runbook_words)'
`,
};
