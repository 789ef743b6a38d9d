package router

import "testing"

func TestAnswersSideBySide(t *testing.T) {
	var a Answers
	for i, step := range []struct {
		index int64
		ends  bool
		whole bool
	}{
		{0, false, false}, {1, false, false}, {0, true, false}, {0, true, false}, {0, false, false}, {1, true, true}, {1, false, true},
		{127, false, false}, {127, true, true},
	} {
		if err := a.Step(step.index, step.ends); err != nil || a.Whole() != step.whole || !a.Any() {
			t.Errorf("step %d: whole %t, %v", i, a.Whole(), err)
		}
	}
	for _, index := range []int64{-1, 128, 1 << 40} {
		if a.Step(index, true) == nil {
			t.Errorf("index %d was taken", index)
		}
	}
}
