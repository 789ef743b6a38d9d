package router

// efforts are the words that Request.Effort may have.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Bounds between the efforts, in tokens of a budget.
const (
	lowBudget    = 2048
	mediumBudget = 12_288
)

// EffortNear is the effort that the caller's budget of reasoning is near: empty where there is none, or where the model is
// to reason as it likes.
func (r *Request) EffortNear() string {
	switch budget := r.Budget; {
	case budget == nil || *budget < 0:
		return ""
	case *budget == 0:
		return "none"
	case *budget < lowBudget:
		return "low"
	case *budget < mediumBudget:
		return "medium"
	}
	return "high"
}
