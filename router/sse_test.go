package router

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// chunks hands out a stream in given pieces, one a read.
type chunks [][]byte

func (c *chunks) Read(p []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*c)[0])
	if (*c)[0] = (*c)[0][n:]; len((*c)[0]) == 0 {
		*c = (*c)[1:]
	}
	return n, nil
}

func readFrames(r io.Reader) (frames []Frame, err error) {
	fr := NewFrameReader(r)
	for {
		f, err := fr.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func TestFrames(t *testing.T) {
	tests := []struct {
		name, in string
		want     [][3]string // raw, event, data
		err      error
	}{
		{"line feeds", "event: a\ndata: 1\n\ndata: 2\n\n", [][3]string{{"event: a\ndata: 1\n\n", "a", "1"}, {"data: 2\n\n", "", "2"}}, io.EOF},
		{"both", "data: 1\r\n\r\ndata: 2\r\n\r\n", [][3]string{{"data: 1\r\n\r\n", "", "1"}, {"data: 2\r\n\r\n", "", "2"}}, io.EOF},
		{"returns", "data: 1\r\rdata: 2\r\r", [][3]string{{"data: 1\r\r", "", "1"}, {"data: 2\r\r", "", "2"}}, io.EOF},
		{"several data lines", "data: 1\ndata:2\ndata:  3\ndata\n\n", [][3]string{{"data: 1\ndata:2\ndata:  3\ndata\n\n", "", "1\n2\n 3\n"}}, io.EOF},
		{"first data line is a name alone", "data\ndata: x\n\n", [][3]string{{"data\ndata: x\n\n", "", "\nx"}}, io.EOF},
		{"comment", ": hold on\n\n", [][3]string{{": hold on\n\n", "", ""}}, io.EOF},
		{"mark", "\xef\xbb\xbfdata: 1\n\n", [][3]string{{"data: 1\n\n", "", "1"}}, io.EOF},
		{"blank lines before", "\n\r\ndata: 1\n\n", [][3]string{{"\n\r\ndata: 1\n\n", "", "1"}}, io.EOF},
		{"other fields", "id: 7\nretry: 9\ndatum: x\ndata: 1\n\n", [][3]string{{"id: 7\nretry: 9\ndatum: x\ndata: 1\n\n", "", "1"}}, io.EOF},
		{"last event wins", "event: a\nevent: b\ndata: 1\n\n", [][3]string{{"event: a\nevent: b\ndata: 1\n\n", "b", "1"}}, io.EOF},
		{"unfinished line", "data: 1\n\ndata: 2", [][3]string{{"data: 1\n\n", "", "1"}}, io.ErrUnexpectedEOF},
		{"unfinished frame", "data: 1\n\ndata: 2\n", [][3]string{{"data: 1\n\n", "", "1"}}, io.ErrUnexpectedEOF},
		{"nothing", "", nil, io.EOF},
		{"blank lines alone", "\n\n\n", nil, io.EOF},
		{"half a mark", "\xef\xbb", nil, io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(tt.in),
				iotest.OneByteReader(strings.NewReader(tt.in)),
				iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, err := readFrames(r)
				if err != tt.err {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				if len(got) != len(tt.want) {
					t.Fatalf("%d frames, want %d", len(got), len(tt.want))
				}
				for i, f := range got {
					if string(f.Raw) != tt.want[i][0] || f.Event != tt.want[i][1] || string(f.Data) != tt.want[i][2] {
						t.Errorf("frame %d is %q %q %q, want %q", i, f.Raw, f.Event, f.Data, tt.want[i])
					}
				}
			}
		})
	}
}

// Wherever the stream is cut into two reads, and wherever it ends, the frames are those of the whole.
func TestFramesCutAtEveryByte(t *testing.T) {
	for _, in := range []string{
		"event: a\ndata: {\"x\":\"é\"}\n\n: c\n\ndata: 2\ndata: 3\n\n",
		"event: a\r\ndata: 1\r\n\r\n: c\r\n\r\ndata: 2\r\ndata: 3\r\n\r\n",
		"event: a\rdata: 1\r\r: c\r\rdata: 2\rdata: 3\r\r",
	} {
		whole, err := readFrames(strings.NewReader(in))
		if err != io.EOF || len(whole) != 3 {
			t.Fatalf("%d frames and %v from %q", len(whole), err, in)
		}
		for i := range in {
			split := chunks{[]byte(in[:i]), []byte(in[i:])}
			got, err := readFrames(&split)
			if err != io.EOF {
				t.Fatalf("cut at %d of %q: %v", i, in, err)
			}
			compareFrames(t, got, whole)

			got, err = readFrames(strings.NewReader(in[:i]))
			if rest := in[len(rawOf(got)):i]; err == io.EOF && strings.Trim(rest, "\r\n") != "" {
				t.Fatalf("ended at %d of %q: %v with %q left over", i, in, err, rest)
			}
			compareFrames(t, got, whole[:len(got)])
		}
	}
}

func compareFrames(t *testing.T, got, want []Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Event != want[i].Event || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("frame %d is %q %q, want %q %q", i, got[i].Event, got[i].Data, want[i].Event, want[i].Data)
		}
	}
}

func rawOf(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.Write(f.Raw)
	}
	return b.String()
}

// A frame whose lines end with carriage returns alone is given out without waiting for the byte after it.
func TestFrameIsNotHeldBack(t *testing.T) {
	for _, in := range []string{"data: 1\r\r", "data: 1\n\n", "data: 1\r\n\r\n"} {
		pr, pw := io.Pipe()
		go pw.Write([]byte(in))
		if f, err := NewFrameReader(pr).Next(); err != nil || string(f.Data) != "1" {
			t.Errorf("%q: %q %v", in, f.Data, err)
		}
		pr.Close()
	}
}

func TestFrameSizes(t *testing.T) {
	frame := func(size int) string { return "data: " + strings.Repeat("x", size-8) + "\n\n" }
	for _, size := range []int{blockSize - 1, blockSize, blockSize + 1, 3 << 20, MaxFrame} {
		got, err := readFrames(strings.NewReader("data: a\n\n" + frame(size) + "data: b\n\n"))
		if err != io.EOF || len(got) != 3 || len(got[1].Raw) != size || string(got[2].Data) != "b" {
			t.Errorf("a frame of %d bytes: %d frames, %v", size, len(got), err)
		}
	}
	got, err := readFrames(strings.NewReader("data: a\n\n" + frame(MaxFrame+1)))
	if !errors.Is(err, ErrFrameTooLarge) || len(got) != 1 {
		t.Errorf("a frame above the limit: %d frames, %v", len(got), err)
	}
	got, err = readFrames(io.MultiReader(strings.NewReader("data: a\n\n"), endless("\n")))
	if !errors.Is(err, ErrFrameTooLarge) || len(got) != 1 {
		t.Errorf("blank lines without end: %d frames, %v", len(got), err)
	}
}

type endless string

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[i%len(e)]
	}
	return len(p), nil
}

// Frames stay as they were while later ones are read.
func TestFramesAreNeverOverwritten(t *testing.T) {
	var in strings.Builder
	for i := range 5000 {
		in.WriteString("event: e\ndata: " + strings.Repeat(string(rune('a'+i%26)), i%97) + "\n\n")
	}
	got, err := readFrames(iotest.HalfReader(strings.NewReader(in.String())))
	if err != io.EOF || rawOf(got) != in.String() {
		t.Fatalf("%d frames, %v: not the stream that went in", len(got), err)
	}
	for i, f := range got {
		if want := strings.Repeat(string(rune('a'+i%26)), i%97); string(f.Data) != want || f.Event != "e" {
			t.Fatalf("frame %d is %q, want %q", i, f.Data, want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, s := range []string{"data: 1\n\n", "\xef\xbb\xbfevent: a\r\ndata: 1\r\ndata: 2\r\n\r\n", ":\r\rdata\r\r", "\n\n\r\n", "data:1\r\n\r"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if piece < 1 || len(in) > 1<<16 {
			return
		}
		whole, err := readFrames(bytes.NewReader(in))
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		if !strings.HasPrefix(strings.TrimPrefix(string(in), "\xef\xbb\xbf"), rawOf(whole)) {
			t.Fatalf("%q is not how %q begins", rawOf(whole), in)
		}
		var pieces chunks
		for rest := in; len(rest) > 0; {
			n := min(piece, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got, cut := readFrames(&pieces)
		if cut != err {
			t.Fatalf("%v in pieces of %d, %v in one", cut, piece, err)
		}
		compareFrames(t, got, whole)
	})
}

func BenchmarkFrames(b *testing.B) {
	one := []byte(`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}` + "\n\n")
	r := NewFrameReader(endless(one))
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
