package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Media is the line that an answer has for an image, a clip or a document that came with
// the call: its kind (image, audio, video or document), type, size and the beginning of its hash.
func Media(mediaType string, data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf("%s %s %d bytes sha256:%s", mediaKind(mediaType), mediaType, len(data), hex.EncodeToString(sum[:8]))
}

// MediaURL is the line for one that came as an address or as the id of a file.
func MediaURL(kind, url string) string { return kind + " " + url }

// mediaKind is the noun for a media type.
func mediaKind(mediaType string) string {
	switch kind, _, _ := strings.Cut(mediaType, "/"); kind {
	case "image", "audio", "video":
		return kind
	}
	return "document"
}

// dataURL splits data:TYPE;base64,DATA.
func dataURL(url string) (mediaType string, data []byte, ok bool) {
	rest, isData := strings.CutPrefix(url, "data:")
	head, encoded, hasData := strings.Cut(rest, ",")
	mediaType, isBase64 := strings.CutSuffix(head, ";base64")
	if !isData || !hasData || !isBase64 || mediaType == "" {
		return "", nil, false
	}
	data, err := decodeBase64(encoded)
	return mediaType, data, err == nil && len(data) > 0
}
