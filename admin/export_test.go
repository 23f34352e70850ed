package admin

import "time"

func init() { fetchTime = 5 * time.Second }
