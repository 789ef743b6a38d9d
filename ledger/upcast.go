package ledger

import "fmt"

// upcaster turns an event's stored JSON of one shape into the next. It is pure: history on disk is never rewritten,
// each read goes through the same steps.
type upcaster func(data []byte) ([]byte, error)

// upcasters lead from each retired shape to the one after it. Every shape released so far is the first.
var upcasters = map[Type]map[int]upcaster{}

func upcast(table map[Type]map[int]upcaster, t Type, from, to int, data []byte) ([]byte, error) {
	for schema := from; schema < to; schema++ {
		step, ok := table[t][schema]
		if !ok {
			return nil, fmt.Errorf("no upcaster from shape %d", schema)
		}
		var err error
		if data, err = step(data); err != nil {
			return nil, fmt.Errorf("upcasting from shape %d: %w", schema, err)
		}
	}
	return data, nil
}
