package http

// Row is a row of the table of routes, for tests that hold it against what is served and described.
type Row struct{ Method, Path, Who string }

// Table gives the rows.
func Table() (rows []Row) {
	for _, r := range routes() {
		rows = append(rows, Row{r.method, r.path, map[access]string{public: "public", scraper: "scraper", inference: "inference", known: "known", admin: "admin", operator: "operator"}[r.who]})
	}
	return rows
}

// BodyBytes is what the server has of callers' bodies in memory.
func (s *Server) BodyBytes() int64 { return s.bodies.used() }
