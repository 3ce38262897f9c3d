package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// statusPath is where the status is had.
const statusPath = "/api/v1/status"

// newHandler answers all that the package offers.
func newHandler(g Gateway) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, g.Status())
	})
	handleTickets(mux, g)
	handleLedger(mux, g)
	handleLinks(mux, g)
	handleTerms(mux, g)
	handleUpload(mux, g)
	handleChannels(mux, g)
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(g), promhttp.HandlerOpts{}))
	return mux
}
