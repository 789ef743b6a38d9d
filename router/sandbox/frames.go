package sandbox

import (
	"bytes"
	"encoding/json"
)

// frames builds what goes over the wire: events of an SSE body, elements of a JSON
// array, or one JSON value.
type frames struct {
	buf    bytes.Buffer
	scrap  bytes.Buffer
	enc    *json.Encoder
	crlf   bool
	extras bool
	array  bool
	opened bool // array: the bracket is out
	events int  // Responses: how many are out
}

// extraField is what extras adds in front of each JSON object.
const extraField = `"sandbox_extra":{"n":[1,"two",null]},`

func (f *frames) reset() {
	if f.buf.Cap() > 1<<16 {
		f.buf, f.scrap, f.enc = bytes.Buffer{}, bytes.Buffer{}, nil
	}
	f.buf.Reset()
	f.crlf, f.extras, f.array, f.opened, f.events = false, false, false, false, 0
}

// encode returns a value's JSON, valid until the next call. Text stays UTF-8, not
// escapes, as the providers send it.
func (f *frames) encode(v any) []byte {
	f.scrap.Reset()
	if f.enc == nil {
		f.enc = json.NewEncoder(&f.scrap)
		f.enc.SetEscapeHTML(false)
	}
	if err := f.enc.Encode(v); err != nil {
		panic("sandbox: " + err.Error()) // v is one of the structs of this package
	}
	return bytes.TrimSuffix(f.scrap.Bytes(), []byte("\n"))
}

// value appends one JSON value.
func (f *frames) value(v any) {
	body := f.encode(v)
	if f.extras && body[0] == '{' {
		f.buf.WriteByte('{')
		f.buf.WriteString(extraField)
		body = body[1:]
	}
	f.buf.Write(body)
}

// event appends one event: SSE with an optional name, or an array's element.
func (f *frames) event(name string, v any) {
	if f.array {
		if f.opened {
			f.buf.WriteString("\n,\r\n") // as Google separates them
		} else {
			f.buf.WriteByte('[')
			f.opened = true
		}
		f.value(v)
		return
	}
	if name != "" {
		f.buf.WriteString("event: ")
		f.buf.WriteString(name)
		f.newline()
	}
	f.buf.WriteString("data: ")
	f.value(v)
	f.newline()
	f.newline()
}

// comment appends an SSE comment.
func (f *frames) comment() {
	f.buf.WriteString(": keep-alive")
	f.newline()
	f.newline()
}

func (f *frames) newline() {
	if f.crlf {
		f.buf.WriteByte('\r')
	}
	f.buf.WriteByte('\n')
}

// raw appends one unnamed SSE event of plain text.
func (f *frames) raw(data string) {
	f.buf.WriteString("data: ")
	f.buf.WriteString(data)
	f.newline()
	f.newline()
}
