mod broken;
mod compiled;
mod folder;
mod hostile;
mod reference;
mod seeds;
mod shelf;
