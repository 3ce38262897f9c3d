package web

import (
	"context"
	"net/http"
)

// uploadPath is where the gateway is asked how much it can upload.
const uploadPath = "/api/v1/upload"

// Gauges measures the line.
type Gauges interface {
	// Upload has a peer count how fast this gateway can send. For some seconds the line is full.
	Upload(ctx context.Context) (Upload, error)
}

// Upload is how much a gateway can upload.
type Upload struct {
	Peer string `json:"peer"` // that has counted
	Rate int    `json:"rate"` // bits a second of payload
}

// MeasureUpload has the gateway that runs with a data folder find out how much it can upload.
func MeasureUpload(ctx context.Context, folder string) (Upload, error) {
	var u Upload
	err := call(ctx, folder, http.MethodPost, uploadPath, nil, &u)
	return u, err
}

// handleUpload measures when it is asked to.
func handleUpload(mux *http.ServeMux, g Gauges) {
	mux.HandleFunc("POST "+uploadPath, func(w http.ResponseWriter, r *http.Request) {
		u, err := g.Upload(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answerJSON(w, http.StatusOK, u)
	})
}
