package router

import (
	"bytes"
	"errors"
	"io"
)

// MaxFrame is the largest SSE frame that is read, in bytes. Frames carry whole images and audio clips, so the
// bound is far above the largest of those and far below what would hurt.
const MaxFrame = 16 << 20

// ErrFrameTooLarge is a frame beyond MaxFrame.
var ErrFrameTooLarge = errors.New("an event of the answer is larger than 16 MiB")

// Sizes in bytes. A block holds a few dozen ordinary frames; a read is never offered less room than minRoom.
const (
	blockSize = 8 << 10
	minRoom   = 512
)

// Frame is one SSE frame. Nothing writes to its bytes again, so whoever holds a Frame may keep it.
type Frame struct {
	Raw   []byte // the frame as it came, with the blank line that ends it
	Event string // the value of its event field, "" if it has none
	Data  []byte // the values of its data fields, joined by newlines; nil if it has none, as a comment has not
}

// FrameReader cuts a byte stream into SSE frames by the rules of the WHATWG HTML standard, section 9.2.6. It
// reads into blocks that it fills once and then leaves to the frames cut from them, so a frame costs no
// allocation of its own. The frames' Raw together are the stream, without a byte order mark at its start.
type FrameReader struct {
	from io.Reader
	err  error // of from

	block []byte // what has been read and not yet left to frames, from start on
	start int    // of the frame being read
	line  int    // start of the line being read
	scan  int    // where to look on for that line's end

	begun bool // the byte order mark has been looked for
	lines bool // the frame has a line that is not blank
	bare  bool // the frame's last line ended with a carriage return alone
}

// NewFrameReader reads frames from r.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{from: r} }

// Next returns the next frame. At the end of the stream it is io.EOF between frames and io.ErrUnexpectedEOF
// inside one: the standard has an unfinished frame discarded.
func (r *FrameReader) Next() (Frame, error) {
	for {
		if r.skipMark(); r.begun {
			if f, ok := r.cut(); ok {
				return f, nil
			}
		}
		if r.err == io.EOF && (r.lines || r.line < len(r.block)) {
			return Frame{}, io.ErrUnexpectedEOF
		}
		if r.err != nil {
			return Frame{}, r.err
		}
		r.fill()
	}
}

// skipMark drops a byte order mark. The shortest frame is as long as the mark, so waiting for three bytes
// keeps no frame back.
func (r *FrameReader) skipMark() {
	if r.begun || len(r.block) < 3 && r.err == nil {
		return
	}
	r.begun = true
	if bytes.HasPrefix(r.block, []byte("\xef\xbb\xbf")) {
		r.start, r.line, r.scan = 3, 3, 3
	}
}

// cut takes the frame being read off the block, if its blank line is there.
func (r *FrameReader) cut() (Frame, bool) {
	for r.scan < len(r.block) {
		n := lineEnd(r.block[r.scan:])
		if n < 0 {
			r.scan = len(r.block)
			return Frame{}, false
		}
		end := r.scan + n
		next := end + 1
		blank, bare := end == r.line, r.block[end] == '\r'
		if bare && next == len(r.block) && r.err == nil && !(blank && r.bare) {
			// A line feed may follow, and belongs to this line. Only where the frame's lines end with carriage
			// returns alone is its blank line taken at once, for nothing else might come for a long time.
			r.scan = end
			return Frame{}, false
		}
		if bare && next < len(r.block) && r.block[next] == '\n' {
			bare = false
			next++
		}
		r.line, r.scan = next, next
		if !blank {
			r.lines, r.bare = true, bare
			continue
		}
		if r.lines {
			f := parseFrame(r.block[r.start:next:next])
			r.start, r.lines, r.bare = next, false, false
			return f, true
		}
	}
	return Frame{}, false
}

// bulkSize is how large a block is, in bytes, that is kept for what is being read only if that fills half of it.
const bulkSize = 8 * blockSize

// fill reads once, into a new block if there is little room left in this one, or if this one is large for little.
func (r *FrameReader) fill() {
	pending := len(r.block) - r.start
	if pending >= MaxFrame {
		r.err = ErrFrameTooLarge
		return
	}
	bulk := cap(r.block) > bulkSize && pending < cap(r.block)/2
	if cap(r.block)-len(r.block) < minRoom && pending+minRoom < MaxFrame || cap(r.block) == len(r.block) || bulk {
		block := make([]byte, pending, min(max(blockSize, 2*pending), MaxFrame))
		copy(block, r.block[r.start:])
		r.block, r.line, r.scan, r.start = block, r.line-r.start, r.scan-r.start, 0
	}
	for range 100 {
		n, err := r.from.Read(r.block[len(r.block):cap(r.block)])
		r.block, r.err = r.block[:len(r.block)+n], err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// lineEnd finds the first line feed or carriage return, -1 if there is none. It searches by windows, so that a
// stream that uses only one of the two does not have the rest of its block searched for the other at each line.
func lineEnd(b []byte) int {
	const window = 256
	for at := 0; at < len(b); at += window {
		w := b[at:min(at+window, len(b))]
		feed := bytes.IndexByte(w, '\n')
		if feed >= 0 {
			w = w[:feed]
		}
		if ret := bytes.IndexByte(w, '\r'); ret >= 0 {
			return at + ret
		}
		if feed >= 0 {
			return at + feed
		}
	}
	return -1
}

func parseFrame(raw []byte) Frame {
	f := Frame{Raw: raw}
	several := false
	for rest := raw; len(rest) > 0; {
		n := lineEnd(rest)
		line := rest[:n]
		rest = rest[n+1:] // a line feed after a carriage return reads as one more blank line, which says nothing
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			f.Event = TextOf(value)
		case "data":
			switch {
			case f.Data == nil && value == nil: // a field name alone has an empty value
				f.Data = []byte{}
			case f.Data == nil:
				f.Data = value[:len(value):len(value)]
			case !several:
				several = true
				f.Data = append(append(append(make([]byte, 0, len(raw)), f.Data...), '\n'), value...)
			default:
				f.Data = append(append(f.Data, '\n'), value...)
			}
		}
	}
	return f
}
