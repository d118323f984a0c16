# The deepest stack of each entry point, from the call graph that `gcc -fcallgraph-info=su` writes.

function quoted(key) {
    if (!match($0, key ": \"[^\"]*\"")) return ""
    return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4)
}

function deepest(name,    i, below, most) {
    if (!(name in frame)) unknown = unknown " " name
    most = 0
    for (i = 1; i <= calls[name]; i++) {
        below = deepest(called[name, i])
        if (below > most) most = below
    }
    return frame[name] + most
}

/^node:/ {
    name = quoted("title")
    if (match($0, /[0-9]+ bytes \(static\)/)) frame[name] = substr($0, RSTART) + 0
}

/^edge:/ {
    name = quoted("sourcename")
    called[name, ++calls[name]] = quoted("targetname")
    is_called[quoted("targetname")] = 1
}

END {
    for (name in frame) {
        if (name in is_called) continue
        bytes = deepest(name)
        if (bytes > most) { most = bytes; worst = name }
    }
    if (unknown) { print "no stack is known of" unknown; exit 1 }
    print "deepest stack " most " B (" worst ")"
}
