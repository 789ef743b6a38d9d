package router

import "errors"

// MaxAnswers bounds how many answers side by side a call can have: the most that any provider gives.
const MaxAnswers = 128

// ErrTooManyAnswers is an answer that brings more than MaxAnswers steps at once.
var ErrTooManyAnswers = errors.New("the answer has more than 128 choices")

// Answers follows which of the answers of a call have ended. What comes for an answer after its finish reason
// does not open it again.
type Answers struct {
	seen, ended [MaxAnswers]bool
	open, done  int
}

// Step takes a step of the answer with an index, which ends it or not.
func (a *Answers) Step(index int64, ends bool) error {
	if index < 0 || index >= MaxAnswers {
		return errors.New("the answer has an index out of range")
	}
	if !a.seen[index] {
		a.seen[index] = true
		a.open++
	}
	if ends && !a.ended[index] {
		a.ended[index] = true
		a.open--
		a.done++
	}
	return nil
}

// Whole tells whether there are answers and all of them have ended.
func (a *Answers) Whole() bool { return a.done > 0 && a.open == 0 }

// Any tells whether there has been a step of any.
func (a *Answers) Any() bool { return a.done+a.open > 0 }
