package ledger

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// State is the fold of a log up to its head: everything that admission reads, and nothing of history. Its rows are
// immutable once published; a change replaces the row, so that a reader may keep a pointer. The State itself is not
// safe for concurrent use: its owner locks.
type State struct {
	head     uint64
	at       Instant
	versions map[string]uint64
	balances map[balanceKey]int64

	orgs        map[string]*Org
	keys        map[string]*Key
	credentials map[string]*Credential
	holds       map[string]*Hold
	plans       map[string]*Plan
	models      map[string]*Model
	prices      map[string]*Price
	policies    map[string]*Policy // by org
	spends      map[string]*Spend  // by key
	nodes       map[string]*Node   // one row

	// Indexes, derived from the rows above.
	keyByHash map[string]*Key
	wallets   map[string][]*Credential // of an org, in the order of use
	bareName  map[string]*Model        // model by the provider's own name; nil if two providers share it
	pricesOf  map[string][]*Price      // of a model
}

type balanceKey struct {
	Account
	Unit Unit
}

// NewState is the fold of the empty log.
func NewState() *State {
	return &State{
		versions: map[string]uint64{}, balances: map[balanceKey]int64{},
		orgs: map[string]*Org{}, keys: map[string]*Key{}, credentials: map[string]*Credential{}, holds: map[string]*Hold{},
		plans: map[string]*Plan{}, models: map[string]*Model{}, prices: map[string]*Price{}, policies: map[string]*Policy{},
		spends: map[string]*Spend{}, nodes: map[string]*Node{},
		keyByHash: map[string]*Key{}, wallets: map[string][]*Credential{}, bareName: map[string]*Model{}, pricesOf: map[string][]*Price{},
	}
}

// Head is the position and time of the last event folded.
func (s *State) Head() (position uint64, at Instant) { return s.head, s.at }

// Version is the version of the last event folded in a stream, 0 for a stream without events.
func (s *State) Version(stream string) uint64 { return s.versions[stream] }

// Balance is an account's balance in a unit.
func (s *State) Balance(a Account, u Unit) int64 { return s.balances[balanceKey{a, u}] }

// Org gives an org, nil if there is none.
func (s *State) Org(id string) *Org { return s.orgs[id] }

// Orgs gives every org, in the order of their ids.
func (s *State) Orgs() []*Org { return sorted(s.orgs) }

// Key gives a key by its id, nil if there is none.
func (s *State) Key(id string) *Key { return s.keys[id] }

// KeyByHash gives a key by the digest of its secret, nil if there is none.
func (s *State) KeyByHash(hash string) *Key { return s.keyByHash[hash] }

// Keys gives an org's keys, in the order of their ids.
func (s *State) Keys(org string) []*Key {
	return slices.DeleteFunc(sorted(s.keys), func(k *Key) bool { return k.Org != org })
}

// Credential gives a credential by its id, nil if there is none.
func (s *State) Credential(id string) *Credential { return s.credentials[id] }

// Wallet gives the credentials of an org, or of the Platform, in the order of use.
func (s *State) Wallet(org string) []*Credential { return s.wallets[org] }

// Policy gives an org's policy, nil if it has set none.
func (s *State) Policy(org string) *Policy { return s.policies[org] }

// Hold gives the open hold of a request, nil if there is none.
func (s *State) Hold(request string) *Hold { return s.holds[request] }

// Holds gives every open hold, in the order of the requests' ids, which is the order of their admission.
func (s *State) Holds() []*Hold { return sorted(s.holds) }

// Plan gives a plan, nil if there is none.
func (s *State) Plan(id string) *Plan { return s.plans[id] }

// Plans gives every plan, in the order of their ids.
func (s *State) Plans() []*Plan { return sorted(s.plans) }

// Model gives a model by its full name, or by the provider's own name where only one provider has it.
func (s *State) Model(name string) *Model {
	if m, ok := s.models[name]; ok {
		return m
	}
	return s.bareName[name]
}

// Models gives every model, in the order of their names.
func (s *State) Models() []*Model { return sorted(s.models) }

// Prices gives every price row, in the order of their ids.
func (s *State) Prices() []*Price { return sorted(s.prices) }

// PriceOf gives the price row of a model that is in force, nil if there is none. Of several, see supersedes.
func (s *State) PriceOf(model string, at Instant) *Price { return inForce(s.pricesOf[model], at) }

func inForce(rows []*Price, at Instant) *Price {
	var p *Price
	for _, q := range rows {
		if q.InForce(at) && q.supersedes(p) {
			p = q
		}
	}
	return p
}

func sorted[V any](m map[string]V) []V {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	out := make([]V, len(names))
	for i, k := range names {
		out[i] = m[k]
	}
	return out
}

// RowKey names a row of the state: an org, a key, a hold, …
type RowKey struct{ Kind, ID string }

// Row is a row of the state as it is kept on disk, beside the balances. Deleted rows have no Data.
type Row struct {
	RowKey
	Position uint64 // of the last event that touched it
	Data     []byte // JSON
}

// Balance is a balance as it is kept on disk. An account without a row has none of the unit.
type Balance struct {
	Account  Account
	Unit     Unit
	Amount   int64
	Position uint64 // of the last event that touched it
}

// Rows yields every row of the state without its position, for comparison with what is stored.
func (s *State) Rows() iter.Seq2[RowKey, any] {
	return func(yield func(RowKey, any) bool) {
		_ = each("org", s.orgs, yield) && each("key", s.keys, yield) && each("credential", s.credentials, yield) &&
			each("hold", s.holds, yield) && each("plan", s.plans, yield) && each("model", s.models, yield) && each("price", s.prices, yield) &&
			each("policy", s.policies, yield) && each("spend", s.spends, yield) && each(nodeRow, s.nodes, yield)
	}
}

func each[V any](kind string, m map[string]V, yield func(RowKey, any) bool) bool {
	for id, v := range m {
		if !yield(RowKey{kind, id}, v) {
			return false
		}
	}
	return true
}

// Balances yields every balance that is not zero, without its position.
func (s *State) Balances() iter.Seq[Balance] {
	return func(yield func(Balance) bool) {
		for k, n := range s.balances {
			if !yield(Balance{Account: k.Account, Unit: k.Unit, Amount: n}) {
				return
			}
		}
	}
}

// Load puts a stored row into a state that is being read at start.
func (s *State) Load(r Row) error {
	var err error
	switch r.Kind {
	case "org":
		err = load(s.orgs, r)
	case "key":
		err = load(s.keys, r)
	case "credential":
		err = load(s.credentials, r)
	case "hold":
		err = load(s.holds, r)
	case "plan":
		err = load(s.plans, r)
	case "model":
		err = load(s.models, r)
	case "price":
		err = load(s.prices, r)
	case "policy":
		err = load(s.policies, r)
	case "spend":
		err = load(s.spends, r)
	case nodeRow:
		err = load(s.nodes, r)
	default:
		err = fmt.Errorf("unknown kind")
	}
	if err != nil {
		return fmt.Errorf("state row %s %s: %w", r.Kind, r.ID, err)
	}
	return nil
}

func load[V any](m map[string]*V, r Row) error {
	v := new(V)
	m[r.ID] = v
	return json.Unmarshal(r.Data, v)
}

// LoadBalance puts a stored balance into a state that is being read at start.
func (s *State) LoadBalance(b Balance) { s.balances[balanceKey{b.Account, b.Unit}] = b.Amount }

// Seal ends the reading at start: it sets where the log stands and builds the indexes.
func (s *State) Seal(head uint64, at Instant, versions map[string]uint64) {
	s.head, s.at, s.versions = head, at, versions
	for _, k := range s.keys {
		s.indexKey(nil, k)
	}
	orgs := map[string]bool{}
	for _, c := range s.credentials {
		orgs[c.Org] = true
	}
	s.indexWallets(orgs)
	for _, m := range s.models {
		s.indexModel(m)
	}
	for _, p := range s.prices {
		s.indexPrice(p)
	}
}

func (s *State) indexKey(old, k *Key) {
	if old != nil {
		delete(s.keyByHash, old.Hash)
		delete(s.keyByHash, old.Former)
	}
	s.keyByHash[k.Hash] = k
	if k.Former != "" {
		s.keyByHash[k.Former] = k
	}
}

// indexWallets sorts the credentials of some orgs anew.
func (s *State) indexWallets(orgs map[string]bool) {
	wallets := map[string][]*Credential{}
	for _, c := range s.credentials {
		if orgs[c.Org] {
			wallets[c.Org] = append(wallets[c.Org], c)
		}
	}
	for org := range orgs {
		slices.SortFunc(wallets[org], byUse)
		s.wallets[org] = wallets[org]
	}
}

// replaceInWallet puts a credential into its former's place, for one that is used in the same order: each settlement that
// draws a commitment down changes a credential, and there may be many in all.
func (s *State) replaceInWallet(old, c *Credential) {
	wallet := slices.Clone(s.wallets[c.Org]) // readers may have the former
	if i := slices.Index(wallet, old); i >= 0 {
		wallet[i] = c
	}
	s.wallets[c.Org] = wallet
}

func (s *State) indexModel(m *Model) {
	if old, ok := s.bareName[m.ID]; ok && (old == nil || old.Name != m.Name) {
		s.bareName[m.ID] = nil
		return
	}
	s.bareName[m.ID] = m
}

func (s *State) indexPrice(p *Price) {
	rows := slices.DeleteFunc(slices.Clone(s.pricesOf[p.Model]), func(q *Price) bool { return q.ID == p.ID })
	s.pricesOf[p.Model] = append(rows, p)
}
