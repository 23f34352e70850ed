package main

import (
	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// keptFlags are the flags of a command on something stored before.
type keptFlags struct {
	vaultFlags
	wayFlags
	identityFlags
	nameFlags
}

func (f *keptFlags) register(cmd *cobra.Command) {
	f.vaultFlags.register(cmd)
	f.wayFlags.register(cmd)
	f.nameFlags.register(cmd)
	f.identityFlags.register(cmd)
}

// kept is something stored before.
type kept struct {
	vault    *client.Vault
	identity string
	root     *envelope.Root // nil for what another client stored without a key
}

// wipe ends the use of what was opened.
func (k *kept) wipe() {
	if k.root != nil {
		k.root.Wipe()
	}
}

// open goes the way in that was chosen. An identity beside it must be its own.
// The caller wipes what it returns.
func (f *keptFlags) open(cmd *cobra.Command) (*kept, error) {
	w, err := f.chosen(cmd)
	if err != nil {
		return nil, err
	}
	if err := f.checkName(cmd, w); err != nil {
		return nil, err
	}
	if err := notEmpty(cmd, "identity", "identity-file"); err != nil {
		return nil, err
	}
	identity, err := f.identity()
	if err != nil {
		return nil, err
	}
	if w == noWay && identity == "" {
		return nil, usageError("pass --key-file FILE, --mnemonic or --user NAME, as when it was stored; for what another client stored without a key --identity or --identity-file",
			"no key and no identity given")
	}
	at, err := f.endpoints(cmd, f.name)
	if err != nil {
		return nil, err
	}
	root, err := f.root(cmd, w, at)
	if err != nil {
		return nil, err
	}
	return f.keptBy(at, root, identity)
}

func (f *keptFlags) keptBy(at *endpoints, root *envelope.Root, identity string) (*kept, error) {
	k := &kept{root: root, identity: identity}
	if root != nil && identity != "" && identity != root.Identity() {
		k.wipe()
		return nil, usageError("leave out --identity and --identity-file, or the key: its flags and "+keyFileVariable,
			"the key given owns another identity")
	}
	if root != nil {
		k.identity = root.Identity()
	}
	var err error
	if k.vault, err = at.vault(root, f.name); err != nil {
		k.wipe()
	}
	return k, err
}

// nameFlags say which of the names of a key is meant.
type nameFlags struct{ name string }

func (f *nameFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "one of many that a key keeps: 1 to 128 of A-Z a-z 0-9 _ -")
}

// checkName: a name that is given is a name, lest an empty variable of a script
// reach what has none.
func (f *nameFlags) checkName(cmd *cobra.Command, w way) error {
	if err := notEmpty(cmd, "name"); err != nil {
		return err
	}
	if f.name != "" && w == noWay {
		return usageError("pass the owner's key with --key-file, --mnemonic or --user, or leave out --name", "--name needs the owner's key")
	}
	return nil
}
