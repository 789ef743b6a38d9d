package router

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"waybill/ledger"
)

// Memory keeps, for a while and in this process only, what providers sealed into answers that called tools. Providers
// want their reasoning and its seals back, verbatim, together with the results of the tools; a caller who speaks another
// dialect has no place to carry them. It is found again by the ids of the calls, which every client brings back, and
// by the seals themselves, so that a conversation stays on the leg that alone can open them.
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
}

func (r *remembered) choice() ledger.Choice {
	if r == nil {
		return ledger.Choice{}
	}
	return r.leg
}

// NewMemory makes a Memory.
func NewMemory() *Memory { return &Memory{young: map[[16]byte]*remembered{}} }

// memoryKey makes the key of a word within an org: those of others are out of reach.
func memoryKey(org, word string) [16]byte {
	sum := sha256.Sum256([]byte(org + "\x00" + word))
	return [16]byte(sum[:16])
}

func (m *Memory) put(org string, words []string, r *remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range words {
		m.young[memoryKey(org, w)] = r
	}
	if m.size += len(r.turn) + 128*len(words); m.size > maxMemory {
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

// remember keeps the answer of this attempt, if there is a seal in it.
func (a *attempt) remember() {
	turn := a.reply.Turn()
	if a.d.Memory == nil || len(turn) == 0 && len(a.seals) == 0 {
		return
	}
	words := append(a.callIDs, a.seals...)
	if len(words) > 0 {
		a.d.Memory.put(a.task.Org, words, &remembered{a.on.choice(), a.dialect, turn})
	}
}

// recall gives a call what is remembered of its conversation.
func (a *attempt) recall(c *Call, dialect ledger.Dialect) {
	if a.d.Memory == nil {
		return
	}
	c.Turn = func(callID string) []byte {
		r := a.d.Memory.find(a.task.Org, callID)
		if r == nil || r.dialect != dialect || r.leg != a.on.choice() {
			return nil
		}
		return r.turn
	}
	c.Foreign = a.origin != nil && a.origin.leg != a.on.choice()
}

// originOf finds out which leg sealed the latest of a conversation's reasoning; nil if none is known to.
func (m *Memory) originOf(org string, q *Request) *remembered {
	for i := len(q.Messages) - 1; i >= 0; i-- {
		if q.Messages[i].Role != RoleAssistant {
			continue
		}
		for _, p := range q.Messages[i].Parts {
			if p.Kind != KindCall && p.Kind != KindReasoning && p.Signature == "" {
				continue
			}
			for _, word := range []string{p.ID, p.Signature} {
				if word == "" {
					continue
				}
				if r := m.find(org, word); r != nil {
					return r
				}
			}
		}
	}
	return nil
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
