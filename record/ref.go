package record

// Ref names a record in messages between guardians. Whoever does not hold that
// very record has nothing to do with what is asked about it.
type Ref struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	Version  uint64 `json:"version"`
	Epoch    uint64 `json:"epoch"`
	// Hash is that of the record, 32 bytes.
	Hash []byte `json:"record"`
}

// Ref returns what names the record.
func (r *Record) Ref() Ref {
	return Ref{Identity: r.Identity, Name: r.Name, Version: r.Version, Epoch: r.Epoch, Hash: r.Hash[:]}
}

// Names tells whether it names the record, whose slot is known to be the one.
func (n Ref) Names(of *Record) bool {
	return string(of.Hash[:]) == string(n.Hash) && of.Version == n.Version && of.Epoch == n.Epoch
}
