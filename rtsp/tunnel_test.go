package rtsp

import (
	"bufio"
	"io"
	"net/textproto"
)

// readHTTP reads the head of an HTTP answer and returns its first line.
func readHTTP(c *client) (string, error) {
	tp := textproto.NewReader(bufio.NewReader(io.MultiReader(c.r.Buffered())))
	line, err := tp.ReadLine()
	if err != nil {
		return "", err
	}
	_, err = tp.ReadMIMEHeader()
	return line, err
}
