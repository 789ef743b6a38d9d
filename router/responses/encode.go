package responses

import "waybill/router"

func encode(c router.Call) ([]byte, []string, error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, t.Cannot("model", "x")
}
