package openai

import (
	"cmp"
	"errors"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// answer reads what one document adds to one of the answers side by side.
type answer struct {
	*decoder
	index int
	steps []router.Chunk
}

func (a *answer) add(c router.Chunk) {
	c.Index = a.index
	a.steps = append(a.steps, c)
}

// say adds a piece of text of a kind.
func (a *answer) say(kind router.Kind, text string) {
	if text != "" {
		a.add(router.Chunk{Kind: kind, Text: text, Content: true})
	}
	if a.index == 0 && a.keeps {
		a.turn.say(kind, text)
	}
}

// read reads a delta or a message. Whatever it has beside the role is content, known to us or not: the caller sees it.
func (a *answer) read(said gjson.Result) (err error) {
	other, thought := false, false
	said.ForEach(func(key, v gjson.Result) bool {
		if key.Str == "role" || empty(v) {
			return true
		}
		switch name := key.Str; {
		case name == "content" && v.Type == gjson.String:
			a.say(router.KindText, v.Str)
		case name == "content" && v.IsArray():
			a.parts(v)
		case name == "refusal" && v.Type == gjson.String:
			a.say(router.KindRefusal, v.Str)
		case (name == "reasoning_content" || name == "reasoning") && v.Type == gjson.String:
			if !thought { // a server that has both says the same in both
				a.say(router.KindReasoning, v.Str)
			}
			thought = true
		case name == "tool_calls" && v.IsArray():
			err = a.toolCalls(v)
		case name == "function_call" && v.IsObject():
			err = a.piece(0, "", v)
		default:
			other = true
		}
		return err == nil
	})
	if other {
		a.add(router.Chunk{Content: true})
	}
	return err
}

// parts reads content that is a list, as Mistral's models that reason give it.
func (a *answer) parts(list gjson.Result) {
	list.ForEach(func(_, p gjson.Result) bool {
		switch p.Get("type").Str {
		case "text":
			a.say(router.KindText, p.Get("text").Str)
		case "thinking":
			p.Get("thinking").ForEach(func(_, t gjson.Result) bool {
				a.say(router.KindReasoning, t.Get("text").Str)
				return true
			})
		default:
			a.add(router.Chunk{Content: true})
		}
		return true
	})
}

// maxCalls bounds the calls of one answer: several times what any provider makes.
const maxCalls = 1024

var (
	errTooManyCalls = errors.New("the answer calls more than 1024 tools")
	errNameless     = errors.New("the answer has more than 1 MiB of arguments for calls without a name")
)

// calling is the tool calls of one answer.
type calling struct {
	list []toolCall
	at   map[int64]int // the upstream's index of a call → its ordinal
}

// toolCall is one call being read.
type toolCall struct {
	id, name  string
	arguments []byte // kept until the call is named; afterwards only where they are to be remembered
	told      bool   // its first step has been made
	said      bool   // it has arguments
}

// toolCalls reads fragments of calls, or whole ones. Their place is in the index; servers that give none, or the same to all,
// name each call by a new id.
func (a *answer) toolCalls(list gjson.Result) (err error) {
	n := int64(0)
	list.ForEach(func(_, v gjson.Result) bool {
		place := n
		if i := v.Get("index"); i.Type == gjson.Number {
			place = i.Int()
		}
		n++
		function := v.Get("function")
		if !function.IsObject() { // a custom tool, which callers of this dialect alone can have
			a.add(router.Chunk{Content: true})
			return true
		}
		err = a.piece(place, v.Get("id").String(), function)
		return err == nil
	})
	return err
}

// piece reads one fragment of a call.
func (a *answer) piece(place int64, id string, function gjson.Result) error {
	c := a.calls[a.index]
	if c == nil {
		c = &calling{at: map[int64]int{}}
		a.calls[a.index] = c
	}
	name, text := function.Get("name").String(), argumentsOf(function.Get("arguments"))
	n, open := c.at[place]
	if open && id != "" && name != "" && c.list[n].id != id && c.list[n].told {
		open = false
	}
	if !open {
		if len(c.list) == maxCalls {
			return errTooManyCalls
		}
		n = len(c.list)
		c.at[place] = n
		c.list = append(c.list, toolCall{})
	}
	call := &c.list[n]
	if call.id == "" {
		call.id = strings.Clone(id) // what is kept is kept by itself, not with the whole frame that it stands in
	}
	if !call.told {
		call.name += strings.Clone(name)
		if call.name == "" {
			if a.nameless += len(text); a.nameless > router.MaxTurn {
				return errNameless
			}
			if !a.own {
				call.arguments = append(call.arguments, text...)
			}
			a.add(router.Chunk{Content: true})
			return nil
		}
		if call.id == "" {
			call.id = router.MintID(a.attempt, a.index, n)
		}
		call.told = true
		a.add(router.Chunk{Kind: router.KindCall, Call: n, CallID: call.id, Name: call.name, Text: string(call.arguments) + text, Content: true})
		call.said = len(call.arguments)+len(text) > 0
	} else {
		call.said = call.said || text != ""
		a.add(router.Chunk{Kind: router.KindCall, Call: n, Text: text, Content: true})
	}
	if a.index == 0 && a.keeps && a.turn.keep(len(text)) {
		call.arguments = append(call.arguments, text...)
	} else {
		call.arguments = nil
	}
	return nil
}

// argumentsOf is the arguments of a call as text. Some servers give the object itself.
func argumentsOf(v gjson.Result) string {
	if v.IsObject() {
		return v.Raw
	}
	return v.String()
}

// finish ends the answer. A call without arguments gets those that a tool without parameters takes. Servers that stop after a
// call, as OpenAI does after one that it was told to make, mean the call.
func (a *answer) finish(finish router.Finish, native string) {
	if c := a.calls[a.index]; c != nil {
		for n := range c.list {
			switch call := &c.list[n]; {
			case !call.told: // it never got a name: its caller must see it all the same
				call.told, call.said = true, true
				a.add(router.Chunk{Kind: router.KindCall, Call: n, CallID: cmp.Or(call.id, router.MintID(a.attempt, a.index, n)),
					Text: cmp.Or(string(call.arguments), "{}"), Content: true})
			case !call.said:
				call.said = true
				a.add(router.Chunk{Kind: router.KindCall, Call: n, Text: "{}", Content: true})
			}
		}
		if finish == router.FinishStop {
			finish = router.FinishTool
		}
	}
	last := &a.steps[len(a.steps)-1]
	last.Finish, last.Native = finish, native
}
