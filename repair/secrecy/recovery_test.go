package secrecy

import "slices"

// ask is one request to a helper for what its share is worth toward x, with the
// helpers that it is told of.
type ask struct {
	helper, x byte
	helpers   []byte
}

// flaw takes out a rule of the recovery.
type flaw struct {
	// unmasked: contributions are sent as they are.
	unmasked bool
	// noHelpers and noPoint: the session, and so the masks, does not depend on
	// the helpers or on the point.
	noHelpers, noPoint bool
}

// mask names the keystream between two helpers in one session. Their keys are
// fresh in each recovery, so that two recoveries have no mask in common.
type mask struct {
	low, high, x byte
	helpers      string
}

func maskOf(a ask, other byte, f flaw) mask {
	m := mask{low: min(a.helper, other), high: max(a.helper, other)}
	if !f.noHelpers {
		m.helpers = string(slices.Sorted(slices.Values(a.helpers)))
	}
	if !f.noPoint {
		m.x = a.x
	}
	return m
}

// asks are those of an honest recovery.
func asks(x byte, helpers ...byte) (all []ask) {
	for _, helper := range helpers {
		all = append(all, ask{helper, x, helpers})
	}
	return all
}

// recovery is the view of who gets all these answers and has the keys that
// stand for the points known: a mask is unknown to it between two others.
func (d dealing) recovery(known []byte, f flaw, asked ...ask) view {
	masks := unknownMasks(known, f, asked)
	v := view{own: len(masks) * d.size}
	for _, a := range asked {
		weight := d.weights(a.helpers, a.x)[slices.Index(a.helpers, a.helper)]
		for index := range d.size {
			own, dealt := v.add(d)
			d.add(dealt, weight, index, a.helper)
			for _, other := range without(a.helpers, a.helper) {
				if at := slices.Index(masks, maskOf(a, other, f)); at >= 0 {
					own[at*d.size+index] = 1
				}
			}
		}
	}
	return v
}

func unknownMasks(known []byte, f flaw, asked []ask) (masks []mask) {
	if f.unmasked {
		return nil
	}
	for _, a := range asked {
		for _, other := range without(a.helpers, append(slices.Clip(known), a.helper)...) {
			m := maskOf(a, other, f)
			if !slices.Contains(known, a.helper) && !slices.Contains(masks, m) {
				masks = append(masks, m)
			}
		}
	}
	return masks
}
