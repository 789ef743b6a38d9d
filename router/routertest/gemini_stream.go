package routertest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

func (c geminiClient) Stream(body []byte, ask Ask) (*Answer, error) {
	a := &Answer{}
	all, err := events(body, false)
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		list, fault := decode[[]json.RawMessage](body)
		if fault != nil {
			return a, fault
		}
		all, err = nil, nil
		for _, v := range list {
			all = append(all, event{data: string(v)})
		}
	}
	if err != nil {
		return a, err
	}
	for _, e := range all {
		v, err := decode[geminiAnswer]([]byte(e.data))
		if err != nil {
			return a, err
		}
		if a.Fault != nil {
			return a, fmt.Errorf("%q comes after an error", e.data)
		}
		if v.Error != nil {
			a.Faults++
			if a.Fault, err = c.Fault(200, []byte(e.data)); err != nil {
				return a, err
			}
			a.Finish = ""
			continue
		}
		if a.Finish != "" && len(a.Texts) < 2 && len(v.Candidates) > 0 {
			return a, fmt.Errorf("%q comes after the finish reason", e.data)
		}
		if err := a.response(v); err != nil {
			return a, fmt.Errorf("%w: %s", err, e.data)
		}
	}
	a.Ended = a.Finish != "" // the dialect has no mark: clients go by the finish reason
	return a, nil
}
