// Package bench measures what waybill adds to a call, in ratios that travel between machines.
//
// Four ways to the same sandbox upstream are compared in one run, each in a process of its own: the upstream called
// directly; a bare floor, which is a reverse proxy that reads request bodies whole; a journalled floor, which also makes
// two group-committed durable appends a call; and waybill with billing on. Rounds are interleaved, figures are medians
// over the rounds, and the bare floor is measured twice a round: the ratio of the two is the noise of the machine.
//
// Two measurements are made within this process: what translation costs against forwarding, and what of a long stream is
// kept while it passes.
package bench
