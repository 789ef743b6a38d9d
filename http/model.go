package http

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// modelQuery is what clients ask of a list: Anthropic's limit, after_id and before_id, Gemini's pageSize and pageToken.
// OpenAI's list has no pages.
type modelQuery struct {
	Limit     int    `query:"limit" doc:"Anthropic: how many at the most, 1 to 1000; 20 if not given"`
	AfterID   string `query:"after_id" doc:"Anthropic: those after this one"`
	BeforeID  string `query:"before_id" doc:"Anthropic: those before this one"`
	PageSize  int    `query:"pageSize" doc:"Gemini: how many at the most, 1 to 1000; 50 if not given"`
	PageToken string `query:"pageToken" doc:"Gemini: the nextPageToken of the page before"`
}

func modelRoutes() []route {
	list := func(path, summary string) route {
		return route{method: http.MethodGet, path: path, summary: summary, who: inference, status: http.StatusOK,
			in: reflect.TypeFor[modelQuery](), out: reflect.TypeFor[modelList](), serve: (*Server).listModels}
	}
	one := func(path, summary string) route {
		return route{method: http.MethodGet, path: path, summary: summary, who: inference, status: http.StatusOK,
			out: reflect.TypeFor[modelRow](), serve: (*Server).showModel}
	}
	return []route{
		list("/v1/models", "The models that the key reaches, and auto; with anthropic-version, in Anthropic's shape"),
		one("/v1/models/{model:.+}", "One of the models that the key reaches"),
		list("/v1beta/models", "The models that the key reaches, and auto, in Gemini's shape"),
		one("/v1beta/models/{model:.+}", "One of the models that the key reaches, in Gemini's shape"),
	}
}

// modelRow is a model as OpenAI's clients know one.
type modelRow struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // seconds since 1970, of the price in force; 0 if there is none
	OwnedBy string `json:"owned_by"`
}

type modelList struct {
	Object string     `json:"object"`
	Data   []modelRow `json:"data"`
}

// listing is how a dialect shows models.
type listing struct {
	one func(reached) any
	// list shows one page of them; the query is the caller's.
	list func(all []reached, q func(string) string) (any, *router.Failure)
}

// listings are the dialects' ways. What callers of Responses list is OpenAI's.
var listings = map[ledger.Dialect]listing{
	ledger.DialectOpenAIChat:        {openaiModel, openaiModels},
	ledger.DialectAnthropicMessages: {anthropicModel, anthropicModels},
	ledger.DialectGemini:            {geminiModel, geminiModels},
}

func (s *Server) listModels(c *call, w http.ResponseWriter) {
	models, ok := s.modelsOf(c, w)
	if !ok {
		return
	}
	page, f := listings[spokenAt(c.r)].list(models, c.r.URL.Query().Get)
	if f != nil {
		s.lost(w, c.r, *f)
		return
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Server) showModel(c *call, w http.ResponseWriter) {
	models, ok := s.modelsOf(c, w)
	if !ok {
		return
	}
	name := c.vars["model"]
	s.o.Books.View(func(st *ledger.State) {
		if m := st.Model(name); m != nil {
			name = m.Name
		}
	})
	for _, m := range models {
		if m.Name == name {
			writeJSON(w, http.StatusOK, listings[spokenAt(c.r)].one(m))
			return
		}
	}
	s.lost(w, c.r, router.Failure{Status: http.StatusNotFound, Code: string(ledger.CodeUnknownModel), Field: "model",
		Message: "model \"" + c.vars["model"] + "\" is unknown, or this key does not reach it: see GET " + strings.TrimSuffix(c.r.URL.Path, "/"+c.vars["model"])})
}

// reached is a model that a key gets to.
type reached struct {
	ledger.Model
	since ledger.Instant // of the price in force; 0 if there is none
}

func (m reached) created() time.Time {
	if m.since == 0 {
		return time.Unix(0, 0)
	}
	return m.since.Time()
}

// modelsOf gives what the caller's key reaches, or refuses the caller.
func (s *Server) modelsOf(c *call, w http.ResponseWriter) ([]reached, bool) {
	w.Header()["Waybill-Request"] = []string{c.id}
	if err := s.authenticate(c); err != nil {
		s.lost(w, c.r, *router.FailureOf(err))
		return nil, false
	}
	models := []reached{}
	now := ledger.InstantOf(s.o.Now())
	s.o.Books.View(func(st *ledger.State) {
		reaches := func(model string, endpoint router.Endpoint) bool {
			a := router.Ask{Endpoint: endpoint, Model: model}
			_, err := router.Route(a, router.ViewOf(st, c.key.Org, c.key.ID, nil, a, now))
			return err == nil
		}
		if reaches(router.ModelAuto, router.EndpointChat) {
			models = append(models, reached{Model: ledger.Model{Name: router.ModelAuto, Provider: "waybill", Features: []string{ledger.FeatureChat}}})
		}
		for _, m := range st.Models() {
			endpoint := router.EndpointChat
			if !m.Has(ledger.FeatureChat) {
				endpoint = router.EndpointEmbed
			}
			if reaches(m.Name, endpoint) {
				row := reached{Model: *m}
				if p := st.PriceOf(m.Name, now); p != nil {
					row.since = p.From
				}
				models = append(models, row)
			}
		}
	})
	return models, true
}

func openaiModel(m reached) any {
	return modelRow{ID: m.Name, Object: "model", Created: m.created().Unix(), OwnedBy: m.Provider}
}

func openaiModels(all []reached, _ func(string) string) (any, *router.Failure) {
	l := modelList{Object: "list", Data: []modelRow{}}
	for _, m := range all {
		l.Data = append(l.Data, openaiModel(m).(modelRow))
	}
	return l, nil
}

// anthropicModel is a model as Anthropic's clients know one: https://platform.claude.com/docs/en/api/models-list.
func anthropicModel(m reached) any {
	return map[string]any{"type": "model", "id": m.Name, "display_name": m.Name, "created_at": m.created().UTC().Format(time.RFC3339),
		"max_input_tokens": m.Context, "max_tokens": m.MaxOutput}
}

func anthropicModels(all []reached, q func(string) string) (any, *router.Failure) {
	size, f := pageSize(q, "limit", 20)
	if f != nil {
		return nil, f
	}
	from, to := 0, len(all)
	place := func(field string) int {
		return slices.IndexFunc(all, func(m reached) bool { return m.Name == q(field) })
	}
	switch {
	case q("after_id") != "":
		if from = place("after_id") + 1; from == 0 {
			return nil, badQuery("after_id", "is not the id of a model in the list")
		}
		to = min(to, from+size)
	case q("before_id") != "":
		if to = place("before_id"); to < 0 {
			return nil, badQuery("before_id", "is not the id of a model in the list")
		}
		from = max(0, to-size)
	default:
		to = min(to, size)
	}
	more := to < len(all)
	if q("before_id") != "" {
		more = from > 0
	}
	data := []any{}
	for _, m := range all[from:to] {
		data = append(data, anthropicModel(m))
	}
	page := map[string]any{"data": data, "has_more": more, "first_id": nil, "last_id": nil}
	if from < to {
		page["first_id"], page["last_id"] = all[from].Name, all[to-1].Name
	}
	return page, nil
}

// geminiModel is a model as Gemini's clients know one: https://ai.google.dev/api/models.
func geminiModel(m reached) any {
	methods := []string{"generateContent", "streamGenerateContent", "countTokens"}
	if !m.Has(ledger.FeatureChat) {
		methods = []string{"embedContent", "batchEmbedContents"}
	}
	return map[string]any{"name": "models/" + m.Name, "baseModelId": cmp.Or(m.ID, m.Name), "version": "", "displayName": m.Name,
		"inputTokenLimit": m.Context, "outputTokenLimit": m.MaxOutput, "supportedGenerationMethods": methods, "thinking": m.Has(ledger.FeatureReasoning)}
}

func geminiModels(all []reached, q func(string) string) (any, *router.Failure) {
	size, f := pageSize(q, "pageSize", 50)
	if f != nil {
		return nil, f
	}
	from := 0
	if token := q("pageToken"); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, badQuery("pageToken", "is not the nextPageToken of a page")
		}
		from = slices.IndexFunc(all, func(m reached) bool { return m.Name == string(last) }) + 1
		if from == 0 {
			return nil, badQuery("pageToken", "is of a list that has changed since: begin again without one")
		}
	}
	to := min(len(all), from+size)
	models := []any{}
	for _, m := range all[from:to] {
		models = append(models, geminiModel(m))
	}
	page := map[string]any{"models": models}
	if to < len(all) {
		page["nextPageToken"] = base64.RawURLEncoding.EncodeToString([]byte(all[to-1].Name))
	}
	return page, nil
}

// maxPage bounds a page of models, as both providers do.
const maxPage = 1000

func pageSize(q func(string) string, field string, otherwise int) (int, *router.Failure) {
	text := q(field)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, badQuery(field, "must be a whole number from 1 to "+strconv.Itoa(maxPage))
	}
	return n, nil
}

func badQuery(field, reason string) *router.Failure {
	return router.FailureOf(&router.FieldError{Field: field, Reason: reason})
}
