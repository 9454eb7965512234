"""What installs the product and the local cluster it is tried on."""
