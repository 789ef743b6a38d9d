package main

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is rows for people. A column whose head begins with ">" is of numbers, aligned at its right.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(out io.Writer) error {
	rows := t.rows
	if strings.Join(t.head, "") != "" {
		rows = append([][]string{t.head}, t.rows...)
	}
	widths := make([]int, len(t.head))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(strings.TrimPrefix(c, ">")))
		}
	}
	var text strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			number := strings.HasPrefix(t.head[i], ">")
			if number {
				c = strings.TrimPrefix(c, ">")
			}
			room := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(c)))
			if number {
				c, room = room+c, ""
			}
			line.WriteString(c + room + "  ")
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// printable keeps what a name may hold from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// grouped shows a count with its thousands apart: 9,998,766.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// counted is a number of things: 1 event, 2,000 events.
func counted(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return grouped(n) + " " + thing
}

// writeJSON prints a value as indented JSON.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// jsonLine prints a value as JSON on one line.
func jsonLine(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
