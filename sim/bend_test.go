package sim

import (
	"reflect"
	"unsafe"
)

// rule finds a rule of a package by the names of fields that lead to it, so that
// a run can go on without it. Rules are unexported values for that; they are not
// for others to change, so this is here and not in their packages.
func rule[F any](of any, fields ...string) *F {
	v := reflect.ValueOf(of)
	for _, field := range fields {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		v = v.FieldByName(field)
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	return v.Addr().Interface().(*F)
}
