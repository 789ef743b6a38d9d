package ledger

import "iter"

// overlay is a map over a map: reads fall through to the base, writes and deletions stay on top until merged.
type overlay[K comparable, V any] struct {
	base map[K]V
	over map[K]layered[V]
}

type layered[V any] struct {
	value   V
	deleted bool
}

func over[K comparable, V any](base map[K]V) overlay[K, V] {
	return overlay[K, V]{base: base, over: map[K]layered[V]{}}
}

func (o *overlay[K, V]) get(k K) (V, bool) {
	if l, ok := o.over[k]; ok {
		return l.value, !l.deleted
	}
	v, ok := o.base[k]
	return v, ok
}

// values yields every value, in no order.
func (o *overlay[K, V]) values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, l := range o.over {
			if !l.deleted && !yield(l.value) {
				return
			}
		}
		for k, v := range o.base {
			if _, changed := o.over[k]; !changed && !yield(v) {
				return
			}
		}
	}
}

func (o *overlay[K, V]) set(k K, v V) { o.over[k] = layered[V]{value: v} }

func (o *overlay[K, V]) delete(k K) { o.over[k] = layered[V]{deleted: true} }

func (o *overlay[K, V]) merge() {
	for k, l := range o.over {
		if l.deleted {
			delete(o.base, k)
		} else {
			o.base[k] = l.value
		}
	}
	clear(o.over)
}

// touched is what was touched, in the order in which it first was, and the position of the last event that did. To write it in
// the order of a map would make other files of the same log each time.
type touched[K comparable] struct {
	keys []K
	last map[K]uint64
}

func (t *touched[K]) add(k K, position uint64) {
	if _, ok := t.last[k]; !ok {
		t.keys = append(t.keys, k)
	}
	t.last[k] = position
}

func (t *touched[K]) clear() {
	clear(t.last)
	t.keys = t.keys[:0]
}
