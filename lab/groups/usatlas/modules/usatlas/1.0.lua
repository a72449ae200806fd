help("A sample of what a group's software librarian offers: it says where the group's data would be.")
whatis("Name: usatlas")
setenv("USATLAS_DATA", "/software/groups/usatlas/data")
