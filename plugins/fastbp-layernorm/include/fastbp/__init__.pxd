# Makes this folder a package for cimport.
