# Completion of the command `sluice` for bash. The program itself knows its commands, options and the names of the
# running instance; this hands it the words of the line.

_sluice() {
  local line=${COMP_LINE:0:COMP_POINT} words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current=${words[${#words[@]} - 1]}
  COMPREPLY=()

  local answer kind=
  mapfile -t answer < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  case ${answer[0]-} in
    :files) kind=-f ;;
    :directories) kind=-d ;;
  esac
  if [[ -n $kind ]]; then
    compopt -o filenames 2>/dev/null
    local path=${current}
    [[ $current == --*=* ]] && path=${current#*=}
    mapfile -t COMPREPLY < <(compgen "$kind" -- "$path")
    return
  fi
  COMPREPLY=("${answer[@]}")

  # bash replaces only what stands behind the last of its word breaks.
  local break
  for break in = :; do
    if [[ $current == *"$break"* && $COMP_WORDBREAKS == *"$break"* ]]; then
      local stem=${current%"${current##*"$break"}"} i
      for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$stem"}; done
      current=${current#"$stem"}
    fi
  done
  # An option that takes its value behind "=" goes on.
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}

complete -F _sluice sluice
