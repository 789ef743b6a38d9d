package router

// autoPool is the models of the auto lane where neither policy nor plan names any: the cheap one of each provider.
var autoPool = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// weights say what a goal looks at.
type weights struct{ cost, latency, reliability int64 }

// goals are the weights of the auto lane's goals.
var goals = map[Goal]weights{
	GoalBalanced:    {2, 1, 2},
	GoalCost:        {8, 1, 2},
	GoalLatency:     {1, 8, 2},
	GoalReliability: {1, 1, 8},
}

// rank puts legs in the order of their scores.
func (r *routing) rank(legs []Leg) []Leg { return legs }
