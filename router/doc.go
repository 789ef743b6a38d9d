// Package router takes one call from its admission to its answer.
//
// A caller's request, in whatever dialect it came, is read into one canonical Request. Route orders the legs
// that may serve it: a model on a credential each. Dispatcher.Do tries them one after the other. Each leg is
// admitted by the ledger before a byte goes upstream, fails over only until content has been seen, and is
// settled before the caller gets the frame that says the answer is whole.
//
// A dialect is a folder (openai, anthropic, gemini): how a Request is written for that provider and how its
// answer is read. A provider that speaks a known dialect is a row of data.
package router
