package anthropic

// nesting follows a JSON object that comes in pieces to its closing brace. It reads each byte once: the pieces may be of one
// byte, and the whole of megabytes.
type nesting struct {
	read    int // bytes
	depth   int
	quoted  bool // inside a string
	escaped bool // behind a backslash
	closed  bool // the brace has been read that closes the object
	sound   bool // and what it closes was found to be JSON
}

// closes reads on in text, of which it has read the beginning, and tells whether the object closes in it.
func (n *nesting) closes(text []byte) bool {
	for ; n.read < len(text) && !n.closed; n.read++ {
		c := text[n.read]
		switch {
		case n.escaped:
			n.escaped = false
		case n.quoted:
			n.escaped, n.quoted = c == '\\', c != '"'
		case c == '"':
			n.quoted = true
		case c == '{' || c == '[':
			n.depth++
		case c == '}' || c == ']':
			n.depth--
			n.closed = n.depth == 0
		}
	}
	return n.closed
}
