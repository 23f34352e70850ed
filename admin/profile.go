package admin

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// boundSeconds refuses to profile for longer than maxProfile. The handlers of
// net/http/pprof bound nothing: they move the connection's write deadline
// behind whatever time they are asked for.
func boundSeconds(handler http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		if asked := c.QueryParam("seconds"); asked != "" {
			seconds, err := strconv.ParseFloat(asked, 64)
			// So written that NaN is refused.
			if inside := seconds > 0 && seconds <= maxProfile.Seconds(); err != nil || !inside {
				return &refusal{
					http.StatusBadRequest, "invalid_seconds",
					fmt.Sprintf("seconds must be above 0 and at most %.0f", maxProfile.Seconds()),
				}
			}
		}
		// The handlers would look for seconds in a multipart body as well.
		c.Request().Body = http.NoBody
		handler.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}
