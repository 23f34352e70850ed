package sim

import (
	"encoding/json"
	"reflect"
)

// counts are what runs were made of.
type counts struct {
	Runs, Events, Messages                  int
	Crashes, LostAnswers, Faults            int
	Partitions, DisksLost, Rollbacks, Harms int
	Pushes, Acknowledged, Deletes           int
	Recoveries, Audits, Named, Presses      int
	// Exempt are shares that a guardian need not have: it went on to a version
	// that was never acknowledged, or has that of another device.
	Exempt int
	// Hopeless are retained shares that were damaged, and that nobody can
	// rebuild any more.
	Hopeless int
	// Waiting are guardians that may not write a damaged version object anew yet.
	Waiting int
	ByN     [15]int

	// Of runs in which shares are moved: rounds that were committed, orders given,
	// the highest epoch, guardians that went for good, and two committed records in
	// the place of one.
	Rounds, Orders, Epochs, Gone, Forks int
	// Unreleased are old shares whose holders nobody could tell that they are.
	Unreleased int
}

func (c *counts) event(ev *event) {
	c.Events++
	switch ev.fate {
	case answerLost:
		c.LostAnswers++
	case notApplied:
		c.Faults++
	case delivered:
	}
}

// add sums figures up.
func (c *counts) add(other counts) {
	sum, more := reflect.ValueOf(c).Elem(), reflect.ValueOf(other)
	for i := range sum.NumField() {
		switch field := sum.Field(i); field.Kind() {
		case reflect.Int:
			field.SetInt(field.Int() + more.Field(i).Int())
		case reflect.Array:
			for j := range field.Len() {
				field.Index(j).SetInt(field.Index(j).Int() + more.Field(i).Index(j).Int())
			}
		}
	}
}

// String is the figures, one for each name.
func (c counts) String() string {
	data, _ := json.Marshal(c)
	return string(data)
}
