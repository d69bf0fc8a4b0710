# Completion for fish. What there is says waypost itself, by --help, so that nothing here grows old.

# The command that stands on the line so far, and what its --help says.
function __waypost_command
    set -l skip 0
    set -l found
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -c --config --url --socket --token-file
            set skip 1
        else if not string match -q -- '-*' $word
            if test (count $found) = 0; or test "$found" = token
                set -a found $word
            end
        end
    end
    string join \n -- $found
end

function __waypost_help
    set -l program (commandline -opc)[1]
    $program (__waypost_command) --help 2>/dev/null
end

function __waypost_words
    set -l command (__waypost_command)
    if test (count $command) = 0; or test "$command" = token
        __waypost_help | string replace -rf '^  ([a-z][a-z-]*)(?: +(.*))?$' '$1\t$2'
    end
end

function __waypost_options
    __waypost_help | string replace -rf '^ +(?:-[^ ,]+,)?(--[a-z-]+).*' '$1'
end

function __waypost_after
    set -l words (commandline -opc)
    contains -- $words[-1] $argv
end

complete -c waypost -f
complete -c waypost -n '__waypost_after --role' -a 'viewer operator admin'
complete -c waypost -n '__waypost_after --sort' -a 'calls time rows errors fallbacks'
complete -c waypost -n '__waypost_after log-level' -a 'trace debug info warning error'
complete -c waypost -n '__waypost_after -c --config --socket --token-file --file' -F
complete -c waypost -n 'not __waypost_after -c --config --url --socket --token-file --file --role --sort log-level' -a '(__waypost_words)'
complete -c waypost -n 'string match -q -- "-*" (commandline -ct)' -a '(__waypost_options)'
