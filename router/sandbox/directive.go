package sandbox

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	directiveOpen  = "[[sandbox"
	directiveClose = "]]"
)

// cutDirective splits what follows the opening mark into the directive's words and
// the rest of the text. A closing mark within quotes does not count.
func cutDirective(text string) (words, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], directiveClose):
			return text[:i], text[i+len(directiveClose):], true
		}
	}
	return text, "", false
}

// parseDirective reads the script in a user message; nil if it has none.
func parseDirective(text string) (*Script, error) {
	start := strings.Index(text, directiveOpen)
	if start < 0 {
		return nil, nil
	}
	words, rest, ok := cutDirective(text[start+len(directiveOpen):])
	switch {
	case !ok:
		return nil, errors.New("the directive is not closed with " + directiveClose)
	case words != "" && !isSpace(words[0]):
		return nil, errors.New("a space must follow " + directiveOpen)
	case strings.Contains(rest, directiveOpen):
		return nil, errors.New("a message may hold one directive")
	}
	var s Script
	seen := map[string]bool{}
	for {
		word, value, hasValue, more, err := nextWord(&words)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if seen[word] {
			return nil, fmt.Errorf("%s is given twice", word)
		}
		seen[word] = true
		if err := s.set(word, value, hasValue); err != nil {
			return nil, err
		}
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// nextWord takes one word off the front: name, or name=value, or name="quoted value".
func nextWord(words *string) (name, value string, hasValue, more bool, err error) {
	rest := strings.TrimLeft(*words, " \t\r\n")
	if rest == "" {
		return "", "", false, false, nil
	}
	end := strings.IndexAny(rest, "= \t\r\n")
	if end < 0 {
		end = len(rest)
	}
	name, rest = rest[:end], rest[end:]
	if !strings.HasPrefix(rest, "=") {
		*words = rest
		return name, "", false, true, nil
	}
	rest = rest[1:]
	if strings.HasPrefix(rest, `"`) {
		literal, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", "", false, false, fmt.Errorf("%s has a malformed quoted value", name)
		}
		if value, err = strconv.Unquote(literal); err != nil {
			return "", "", false, false, fmt.Errorf("%s has a malformed quoted value", name)
		}
		rest = rest[len(literal):]
		if rest != "" && !isSpace(rest[0]) {
			return "", "", false, false, fmt.Errorf("a space must follow the value of %s", name)
		}
	} else {
		end = strings.IndexAny(rest, " \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
	}
	*words = rest
	return name, value, true, true, nil
}

// set applies one word.
func (s *Script) set(word, value string, hasValue bool) error {
	if flag := s.flag(word); flag != nil {
		if hasValue {
			return fmt.Errorf("%s takes no value", word)
		}
		*flag = true
		return nil
	}
	if place, fallback := s.place(word); place != nil {
		switch {
		case !hasValue && fallback == "":
			return fmt.Errorf("%s needs a value", word)
		case !hasValue:
			*place = fallback
		default:
			*place = Place(value)
			if _, err := place.point(maxTokens); err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}
		}
		return nil
	}
	if value == "" {
		if !s.names(word) {
			return fmt.Errorf("unknown word %q", word)
		}
		return fmt.Errorf("%s needs a value", word)
	}
	return s.setValue(word, value)
}

func (s *Script) setValue(word, value string) error {
	if number := s.number(word); number != nil {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("%s=%s is not a positive number", word, value)
		}
		*number = n
		return nil
	}
	if duration := s.duration(word); duration != nil {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("%s=%s is not a positive duration", word, value)
		}
		*duration = d
		return nil
	}
	switch word {
	case "say":
		s.Say = value
	case "finish":
		s.Finish = value
	case "call":
		s.Call = value
	case "args":
		s.Args = value
	case "tier":
		s.Tier = value
	case "verdict":
		s.Verdict = Verdict(value)
	case "fail":
		s.Fail = Failure(value)
	case "split":
		if value == "utf8" {
			s.Split = SplitUTF8
			return nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("split=%s is neither utf8 nor a positive number", value)
		}
		s.Split = n
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return nil
}

// names reports whether a word takes a value.
func (s *Script) names(word string) bool {
	switch word {
	case "say", "finish", "verdict", "fail", "split", "call", "args", "tier":
		return true
	}
	return s.number(word) != nil || s.duration(word) != nil
}

func (s *Script) flag(word string) *bool {
	switch word {
	case "uncapped":
		return &s.Uncapped
	case "no_usage":
		return &s.NoUsage
	case "no_done":
		return &s.NoDone
	case "call_ids":
		return &s.CallIDs
	case "redacted":
		return &s.Redacted
	case "describe":
		return &s.Describe
	case "extras":
		return &s.Extras
	case "crlf":
		return &s.CRLF
	case "pings":
		return &s.Pings
	}
	return nil
}

// place returns the place that a word sets and what the bare word means.
func (s *Script) place(word string) (place *Place, bare Place) {
	switch word {
	case "fail_at":
		return &s.FailAt, ""
	case "hang":
		return &s.Hang, AtContent
	case "cut":
		return &s.Cut, AtContent
	case "truncate":
		return &s.Truncate, AtEnd
	}
	return nil, ""
}

func (s *Script) number(word string) *int {
	switch word {
	case "output":
		return &s.Output
	case "reasoning":
		return &s.Reasoning
	case "input":
		return &s.Input
	case "cached":
		return &s.Cached
	case "cache_write":
		return &s.CacheWrite
	case "cache_write_long":
		return &s.CacheWriteLong
	case "calls":
		return &s.Calls
	case "chunks":
		return &s.Chunks
	case "chunk_bytes":
		return &s.ChunkBytes
	}
	return nil
}

func (s *Script) duration(word string) *time.Duration {
	switch word {
	case "latency":
		return &s.Latency
	case "delay":
		return &s.Delay
	case "retry_after":
		return &s.RetryAfter
	}
	return nil
}
