package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"

	"waybill/ledger"
)

// Memory keeps, for a while and in this process only, what providers sealed into answers that called tools. Providers
// want their reasoning and its seals back, verbatim, together with the results of the tools; a caller who speaks another
// dialect has no place to carry them. It is found again by the ids of the calls, which every client brings back, and
// by the seals themselves, so that a conversation stays on the leg that alone can open them.
//
// Compatible servers count their calls from 0 in every conversation. So a caller of another dialect gets ids that waybill
// made, of which no two are the same, and the provider gets its own back.
//
// What is forgotten, by age or by a restart, costs the model its earlier thoughts and nothing else.
type Memory struct {
	mu         sync.Mutex
	young, old map[[16]byte]*remembered
	size       int // of young, in bytes
}

// maxMemory bounds one of the two generations, in bytes. When the young is full it becomes the old.
const maxMemory = 32 << 20

// remembered is one answer.
type remembered struct {
	leg     ledger.Choice
	dialect ledger.Dialect
	turn    []byte
	ids     map[string]string // of its calls: the caller's → the provider's, where they differ
	sealed  bool              // there are seals in it, be it in the turn or in the caller's hands
}

// own is a call's id as the provider has it.
func (r *remembered) own(id string) string { return cmp.Or(r.ids[id], id) }

// size is what it adds to a request at most, in bytes.
func (r *remembered) size() int {
	n := len(r.turn)
	for _, id := range r.ids {
		n += len(id)
	}
	return n
}

// NewMemory makes a Memory.
func NewMemory() *Memory { return &Memory{young: map[[16]byte]*remembered{}} }

// memoryKey makes the key of a word within an org: those of others are out of reach.
func memoryKey(org, word string) [16]byte {
	sum := sha256.Sum256([]byte(org + "\x00" + word))
	return [16]byte(sum[:16])
}

func (m *Memory) put(keys [][16]byte, r *remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.young[k] = r
	}
	if m.size += r.size() + 128*len(keys); m.size > maxMemory {
		m.young, m.old, m.size = map[[16]byte]*remembered{}, m.young, 0
	}
}

func (m *Memory) find(org, word string) *remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := memoryKey(org, word)
	if r, ok := m.young[k]; ok {
		return r
	}
	return m.old[k]
}

// remember keeps of the answer of this attempt what its caller cannot bring back, and who made the seals in it.
func (a *attempt) remember() {
	turn := a.reply.Turn()
	keys := a.seals
	for id := range a.ids {
		keys = append(keys, memoryKey(a.task.Org, id))
	}
	if a.d.Memory == nil || len(keys) == 0 {
		return
	}
	a.d.Memory.put(keys, &remembered{a.on.choice(), a.dialect, turn, a.ids, len(turn) > 0 || len(a.seals) > 0})
}

// past is what is remembered of a conversation.
type past struct {
	calls  map[string]*remembered // by the ids that the caller has of them
	seals  []sealed               // that the caller brings back, in their order
	origin *remembered            // whose seals are the latest; nil if none is known
}

// sealed is a seal and the answer that it came with; nil if that is not remembered.
type sealed struct {
	seal string
	by   *remembered
}

// of finds what is remembered of an org's conversation.
func (m *Memory) of(org string, q *Request) (p past) {
	for i := range q.Messages {
		if q.Messages[i].Role != RoleAssistant {
			continue
		}
		for _, part := range q.Messages[i].Parts {
			if part.Kind == KindCall && part.ID != "" {
				p.called(part.ID, m.find(org, part.ID))
			}
			if part.Signature != "" && !IsMinted(part.Signature) {
				by := m.find(org, part.Signature)
				p.seals = append(p.seals, sealed{part.Signature, by})
				p.originates(by)
			}
		}
	}
	return p
}

func (p *past) called(id string, by *remembered) {
	if by == nil {
		return
	}
	if p.calls == nil {
		p.calls = map[string]*remembered{}
	}
	p.calls[id] = by
	p.originates(by)
}

func (p *past) originates(by *remembered) {
	if by != nil && by.sealed {
		p.origin = by
	}
}

// choice is the leg whose seals are the latest.
func (p *past) choice() ledger.Choice {
	if p.origin == nil {
		return ledger.Choice{}
	}
	return p.origin.leg
}

// foreign is the seals that another leg has made. The oldest are forgotten first: one that is not known is taken for the
// next known one's kin.
func (p *past) foreign(leg ledger.Choice) map[string]bool {
	var out map[string]bool
	var by *remembered
	for _, s := range slices.Backward(p.seals) {
		if s.by != nil {
			by = s.by
		}
		if by != nil && by.leg != leg {
			if out == nil {
				out = map[string]bool{}
			}
			out[s.seal] = true
		}
	}
	return out
}

// size is what a leg's remembered turns add to a request at most, in bytes.
func (p *past) size(leg ledger.Choice) (n int) {
	seen := map[*remembered]bool{}
	for _, by := range p.calls {
		if by.leg == leg && !seen[by] {
			seen[by] = true
			n += by.size()
		}
	}
	return n
}

// recall gives a call what is remembered of its conversation.
func (a *attempt) recall(c *Call, dialect ledger.Dialect) {
	if a.d.Memory == nil {
		return
	}
	leg := a.on.choice()
	ids, turns := map[string]string{}, map[string][]byte{}
	for id, by := range a.past.calls {
		if by.leg != leg || by.dialect != dialect {
			continue
		}
		own := by.own(id)
		if own != id {
			ids[id] = own
		}
		if _, twice := turns[own]; twice { // it says nothing of which of the two is meant
			turns[own] = nil
			continue
		}
		turns[own] = by.turn
	}
	if !c.Own(dialect) {
		c.Request = c.Request.renamed(ids)
	}
	c.Turn = func(callID string) []byte { return turns[callID] }
	c.Foreign = a.past.foreign(leg)
}

// renamed is the request with other ids of calls, in the calls and in their results.
func (r *Request) renamed(ids map[string]string) *Request {
	if len(ids) == 0 {
		return r
	}
	out := *r
	out.Messages = slices.Clone(r.Messages)
	for i := range out.Messages {
		m := &out.Messages[i]
		m.Parts = slices.Clone(m.Parts)
		for j := range m.Parts {
			if p := &m.Parts[j]; ids[p.ID] != "" {
				p.ID = ids[p.ID]
			}
		}
	}
	return &out
}

// ours marks the seals that waybill makes for dialects that cannot do without one.
const ours = "waybill-unsealed-"

// MintSeal makes a seal for reasoning that came without one which the caller's dialect could carry. It is base64, as
// Gemini's must be, and no provider takes it for its own: IsMinted tells it.
func MintSeal(request string) string {
	return base64.StdEncoding.EncodeToString([]byte(ours + request))
}

var oursInBase64 = base64.StdEncoding.EncodeToString([]byte(ours[:15]))

// IsMinted tells whether a seal is one of ours. Reasoning under it must not go to any provider.
func IsMinted(seal string) bool { return strings.HasPrefix(seal, oursInBase64) }

// MintID makes an id for a tool call whose provider gives none, unique over conversations: from the id of the attempt
// and the place of the call in the answer. It fits every provider's pattern and length.
func MintID(attempt string, answer, call int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", attempt, answer, call))
	return "call_" + base64.RawURLEncoding.EncodeToString(sum[:18])
}
