package cluster

import "log/slog"

// complaint is something that was ignored.
type complaint struct {
	nodeID, text string
	// cause is an error of others, or nil. It may be another each time, so it
	// makes no new complaint.
	cause error
}

func (c complaint) key() complaint { return complaint{nodeID: c.nodeID, text: c.text} }

func (c complaint) log(log *slog.Logger) {
	if c.cause != nil {
		log = log.With("error", c.cause)
	}
	log.Warn(c.text, "node_id", c.nodeID)
}

// maxLines bounds what one fetch of a list can write into the log, of each kind.
const maxLines = 20

// complaints logs each complaint once for as long as it is repeated, so that a
// damaged record does not fill the log. What it remembers is what it was last
// given.
type complaints struct{ last map[complaint]bool }

func (c *complaints) report(log *slog.Logger, now []complaint) {
	current := map[complaint]bool{}
	var fresh []complaint
	for _, one := range now {
		if !c.last[one.key()] && !current[one.key()] {
			fresh = append(fresh, one)
		}
		current[one.key()] = true
	}
	more := tellFew(fresh, func(one complaint) { one.log(log) })
	if more > 0 {
		log.Warn("more records of the registry were ignored", "count", more)
	}
	c.last = current
}

// tellFew tells of the first of a list, and returns how many more there are.
func tellFew[T any](list []T, tell func(T)) (more int) {
	few := min(len(list), maxLines)
	for _, one := range list[:few] {
		tell(one)
	}
	return len(list) - few
}
