package responses

import "waybill/router"

func newRendering(req *router.Request, head router.Head) router.Writer { return &relay{head: head} }
