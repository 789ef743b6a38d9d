package router

import (
	"errors"
	"math"

	"github.com/tidwall/gjson"
)

// VectorOf reads a list of numbers as a vector, which is not empty and finite.
func VectorOf(list gjson.Result) (vector []float32, err error) {
	vector = make([]float32, 0, len(list.Raw)/12)
	list.ForEach(func(_, n gjson.Result) bool {
		if n.Type != gjson.Number {
			err = errors.New("a vector of the answer has something else than numbers")
		}
		vector = append(vector, float32(n.Num))
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return vector, CheckVector(vector)
}

// CheckVector tells what is wrong with a vector that nothing could be compared with.
func CheckVector(vector []float32) error {
	if len(vector) == 0 {
		return errors.New("a vector of the answer is empty")
	}
	for _, f := range vector {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return errors.New("a vector of the answer is not finite")
		}
	}
	return nil
}
