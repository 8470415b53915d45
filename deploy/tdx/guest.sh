#!/bin/sh
# Start a TDX guest whose measurements follow from four files and two numbers. Not run on hardware: see README.md.
#
#   FIRMWARE=OVMF.fd KERNEL=vmlinuz INITRD=initrd.img DISK=root.img ROOTHASH=... ./guest.sh
set -eu

: "${FIRMWARE:?}" "${KERNEL:?}" "${INITRD:?}" "${DISK:?}" "${ROOTHASH:?}"
CPUS=${CPUS:-8}
MEMORY=${MEMORY:-32G}

sha384sum "$FIRMWARE" "$KERNEL" "$INITRD"

exec qemu-system-x86_64 \
  -accel kvm -cpu host -smp "$CPUS" -m "$MEMORY" -nodefaults -nographic -serial stdio \
  -object '{"qom-type":"tdx-guest","id":"tdx","quote-generation-socket":{"type":"vsock","cid":"2","port":"4050"}}' \
  -machine q35,kernel_irqchip=split,confidential-guest-support=tdx \
  -bios "$FIRMWARE" -kernel "$KERNEL" -initrd "$INITRD" \
  -append "console=ttyS0 root=/dev/mapper/root ro roothash=$ROOTHASH" \
  -drive "file=$DISK,if=virtio,format=raw,readonly=on" \
  -netdev user,id=net -device virtio-net-pci,netdev=net
